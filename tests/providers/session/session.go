// Package session obtains, renews and revokes a session of a made-up service, whose key to the next one it keeps in its state.
package session

import (
	"net/url"
	"time"

	"deputy/kit"
)

var settings = []kit.SettingSpec{{Name: "url", Type: "url", Text: "the service", Needed: "yes"}}

type provider struct{}

// All that a provider can be.
type complete interface {
	kit.Renewer
	kit.Revoker
}

// New is what the kit calls.
func New() complete { return provider{} }

func (provider) ServiceName(kit.Settings) (string, error) { return "session", nil }

func (provider) Kinds(kit.Settings) ([]string, error) { return []string{kit.BearerToken}, nil }

func (provider) TokensRequired(given kit.Settings) (bool, error) { return true, given.Check(settings) }

func (provider) Obtain(given kit.Settings) (*kit.Tokens, error) {
	return ask(given, url.Values{"grant": {"first"}})
}

func (provider) Renew(given kit.Settings, held *kit.Tokens) (*kit.Tokens, error) {
	key, err := kit.State.Load()
	if err != nil {
		return nil, err
	}
	until := held.RenewableUntil.UTC().Format(time.RFC3339)
	return ask(given, url.Values{"grant": {"next"}, "key": {string(key)}, "session": {string(held.Payload)}, "until": {until}})
}

func (provider) Revoke(given kit.Settings, held *kit.Tokens) error {
	target, err := given.URL("url")
	if err != nil {
		return err
	}
	answer, err := kit.PostForm(target.JoinPath("end").String(), url.Values{"handle": {string(held.Handle)}, "of": {held.Facts["of"]}})
	if err != nil {
		return err
	}
	// What is gone need not be revoked.
	if answer.Status != 404 && answer.Status != 200 {
		_, err := answer.Fields()
		return err
	}
	return kit.State.Save(nil)
}

func ask(given kit.Settings, form url.Values) (*kit.Tokens, error) {
	target, err := given.URL("url")
	if err != nil {
		return nil, err
	}
	answer, err := kit.PostForm(target.String(), form)
	if err != nil {
		return nil, err
	}
	tokens, err := answer.Bearer()
	if err != nil {
		return nil, err
	}
	fields, err := answer.Fields()
	if err != nil {
		return nil, err
	}
	if key, found := fields["key"].(string); found {
		if err := kit.State.Save([]byte(key)); err != nil {
			return nil, err
		}
	}
	tokens.Handle, tokens.Facts = []byte("handle-of-"+string(tokens.Payload)), map[string]string{"of": "session"}
	tokens.RenewableUntil = time.Date(2026, 1, 8, 0, 0, 0, 0, time.UTC)
	return tokens, nil
}
