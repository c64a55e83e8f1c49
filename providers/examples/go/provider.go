// Package oauth2 obtains an access token with a client's credentials (RFC 6749, section 4.4).
//
// The client's secret does not pass through here: the host adds it to the request, by the operator's http rule.
package oauth2

import (
	"net/url"
	"slices"
	"strings"

	"deputy/kit"
)

var (
	fields = map[string]string{"client-id": "client_id", "scope": "scope", "audience": "audience"} // setting: form field
	// Fields with a setting of their own, and fields that only the host may add.
	taken = []string{"grant_type", "client_id", "scope", "audience", "resource", "client_secret", "client_assertion"}
)

type provider struct{}

// New is what the kit calls.
func New() kit.Provider { return provider{} }

func (provider) ServiceName(kit.Settings) (string, error) { return "oauth2", nil }

func (provider) Kinds(kit.Settings) ([]string, error) { return []string{kit.BearerToken}, nil }

func (provider) TokensRequired(settings kit.Settings) (bool, error) {
	_, err := request(settings)
	return true, err
}

func (provider) Obtain(settings kit.Settings) (*kit.Tokens, error) {
	form, err := request(settings)
	if err != nil {
		return nil, err
	}
	answer, err := kit.PostForm(settings["token-url"], form)
	if err != nil {
		return nil, err
	}
	return answer.Bearer()
}

func request(settings kit.Settings) (url.Values, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "resource": strings.Fields(settings["resource"])} // RFC 8707
	for name, value := range settings {
		if field, found := fields[name]; found {
			form.Set(field, value)
		} else if field, found := strings.CutPrefix(name, "form."); found && !slices.Contains(taken, field) {
			form.Set(field, value)
		} else if found {
			return nil, kit.WrongSetting(name, "this field has a setting of its own, or is added by the host")
		}
	}
	return form, settings.Require([]string{"token-url"}, "client-id", "scope", "audience", "resource", "form.")
}
