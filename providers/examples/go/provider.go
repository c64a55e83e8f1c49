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
	settings = []kit.SettingSpec{
		{Name: "token-url", Type: "url", Text: "the token endpoint", Needed: "yes"},
		{Name: "client-id", Type: "text", Text: "the client, where the form names it beside its secret"},
		{Name: "scope", Type: "text", Text: "the scopes, with spaces between"},
		{Name: "audience", Type: "text", Text: "the API that the token is for, where the service asks for one"},
		{Name: "resource", Type: "list", Text: "one or several resources of RFC 8707, with spaces between"},
		{Name: "form.*", Type: "text", Text: "any other field of the form: form.NAME"},
	}
	fields = map[string]string{"client-id": "client_id", "scope": "scope", "audience": "audience"} // setting: form field
	// Fields with a setting of their own, and fields that only the host may add.
	taken = []string{"grant_type", "client_id", "scope", "audience", "resource", "client_secret", "client_assertion"}
)

// Description is what the provider says about itself.
var Description = kit.Description{
	Title: "Access tokens of OAuth 2.0, by client credentials", Settings: settings, Wants: wants,
}

type provider struct{}

// New is what the kit calls.
func New() kit.Provider { return provider{} }

func (provider) ServiceName(kit.Settings) (string, error) { return "oauth2", nil }

func (provider) Kinds(kit.Settings) ([]string, error) { return []string{kit.BearerToken}, nil }

func (provider) TokensRequired(given kit.Settings) (bool, error) {
	_, _, err := request(given)
	return true, err
}

func (provider) Obtain(given kit.Settings) (*kit.Tokens, error) {
	target, form, err := request(given)
	if err != nil {
		return nil, err
	}
	answer, err := kit.PostForm(target.String(), form)
	if err != nil {
		return nil, err
	}
	return answer.Bearer()
}

func wants(given kit.Settings) ([]kit.Want, error) {
	target, form, err := request(given)
	if err != nil {
		return nil, err
	}
	properties := []string{"url", target.Scheme + "://" + target.Host, "method", "POST", "path", target.EscapedPath()}
	// The other way, HTTP Basic, needs no setting: the operator's rule has the client.
	if form.Has("client_id") {
		properties = append(properties, "secret", "client-secret", "field", "client_secret")
	}
	return []kit.Want{kit.NewWant("http", append(properties, "reason", "asks for a token")...)}, nil
}

// request is the token endpoint, and the form that goes there.
func request(given kit.Settings) (*url.URL, url.Values, error) {
	if err := given.Check(settings); err != nil {
		return nil, nil, err
	}
	form := url.Values{"grant_type": {"client_credentials"}, "resource": strings.Fields(given["resource"])} // RFC 8707
	for name, field := range fields {
		if value, found := given[name]; found {
			form.Set(field, value)
		}
	}
	for field, value := range given.Family("form") {
		if slices.Contains(taken, field) {
			return nil, nil, kit.WrongSetting("form."+field, "this field has a setting of its own, or is added by the host")
		}
		form.Set(field, value)
	}
	target, err := given.URL("token-url")
	return target, form, err
}
