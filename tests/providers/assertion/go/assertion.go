// Package assertion obtains an access token by a client whose secret signs: `client_secret_jwt` (OpenID Connect Core 1.0,
// section 9).
//
// The secret is used by handle: the host computes the HMAC, and no code here ever has the secret.
package assertion

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"deputy/kit"
)

type provider struct{}

// New is what the kit calls.
func New() kit.Provider { return provider{} }

func (provider) ServiceName(kit.Settings) (string, error) { return "oauth2", nil }

func (provider) Kinds(kit.Settings) ([]string, error) { return []string{kit.BearerToken}, nil }

func (provider) TokensRequired(settings kit.Settings) (bool, error) {
	return true, settings.Require([]string{"token-url", "client-id"}, "audience")
}

func (provider provider) Obtain(settings kit.Settings) (*kit.Tokens, error) {
	if _, err := provider.TokensRequired(settings); err != nil {
		return nil, err
	}
	audience, found := settings["audience"]
	if !found {
		audience = settings["token-url"]
	}
	assertion, err := sign(settings["client-id"], audience)
	if err != nil {
		return nil, err
	}
	answer, err := kit.PostForm(settings["token-url"], url.Values{
		"grant_type":            {"client_credentials"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
	})
	if err != nil {
		return nil, err
	}
	return answer.Bearer()
}

// sign makes a JWT that is good for a minute.
func sign(client, audience string) (string, error) {
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": client, "sub": client, "aud": audience, "jti": strconv.FormatInt(now.UnixNano(), 10),
		"iat": now.Unix(), "exp": now.Unix() + 60,
	})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	body := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(claims)
	secret, err := kit.OpenSecret("client-secret")
	if err != nil {
		return "", err
	}
	mac, err := secret.HmacSHA256([]byte(body))
	return body + "." + encode(mac), err
}
