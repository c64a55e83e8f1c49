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

var settings = []kit.SettingSpec{
	{Name: "token-url", Type: "url", Text: "the token endpoint", Needed: "yes"},
	{Name: "client-id", Type: "text", Text: "the client", Needed: "yes"},
	{Name: "audience", Type: "text", Text: "whom the assertion is for", Default: "the token endpoint"},
}

type provider struct{}

// New is what the kit calls.
func New() kit.Provider { return provider{} }

func (provider) ServiceName(kit.Settings) (string, error) { return "oauth2", nil }

func (provider) Kinds(kit.Settings) ([]string, error) { return []string{kit.BearerToken}, nil }

func (provider) TokensRequired(given kit.Settings) (bool, error) {
	return true, given.Check(settings)
}

func (provider provider) Obtain(given kit.Settings) (*kit.Tokens, error) {
	if _, err := provider.TokensRequired(given); err != nil {
		return nil, err
	}
	audience, found := given["audience"]
	if !found {
		audience = given["token-url"]
	}
	assertion, err := sign(given["client-id"], audience)
	if err != nil {
		return nil, err
	}
	answer, err := kit.PostForm(given["token-url"], url.Values{
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
