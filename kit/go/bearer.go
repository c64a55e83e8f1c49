package kit

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// BearerToken is the kind of an access token, without a line break.
const BearerToken = "bearer-token/1"

const century = 100 * 366 * 24 * time.Hour // a longer lifetime means "never"

// Bearer is the access token of a good answer, with its expiry (RFC 6749, section 5.1).
func (answer *Answer) Bearer() (*Tokens, error) {
	fields, err := answer.Fields()
	if err != nil {
		return nil, err
	}
	token, err := accessToken(fields["access_token"])
	if err != nil {
		return nil, err
	}
	expiry, err := expiryOf(fields)
	if err != nil {
		return nil, err
	}
	return &Tokens{Kind: BearerToken, Payload: []byte(token), Expiry: expiry}, nil
}

func accessToken(value any) (string, error) {
	if value == nil {
		return "", &Failure{Next: Denied, Message: "the answer has no access_token"}
	}
	token, isText := value.(string)
	if !isText {
		return "", &Failure{Next: Denied, Message: "the answer's access_token is not a string"}
	}
	if token == "" || strings.ContainsFunc(token, func(letter rune) bool { return letter < ' ' || letter > '~' }) {
		text := "the answer's access_token is empty or holds characters that no token may (RFC 6749, A.12)"
		return "", &Failure{Next: Denied, Message: text}
	}
	return token, nil
}

// expiryOf is when the token ends, by expires_in, or by the expires_on that Azure writes in its place.
func expiryOf(fields map[string]any) (Expiry, error) {
	life := fields["expires_in"]
	if life == nil || life == "" {
		end, found := Number(fields["expires_on"])
		switch {
		case !found:
			return Expiry{}, nil
		case end > float64(time.Now().Unix())+century.Seconds():
			return Expiry{Never: true}, nil
		}
		return Expiry{At: time.UnixMilli(int64(max(end, 0) * 1000))}, nil
	}
	seconds, found := Number(life)
	if !found {
		return Expiry{}, &Failure{Next: Denied, Message: "the answer's expires_in is not a number of seconds"}
	}
	return After(seconds), nil
}

// After is an expiry a number of seconds after the beginning of the call, as `expires_in` means it. 0 and less mean that
// the token has expired already: the host refuses it.
func After(seconds float64) Expiry {
	if seconds > century.Seconds() {
		return Expiry{Never: true}
	}
	after := time.Duration(math.Floor(max(seconds, 0)*1000)) * time.Millisecond
	return Expiry{After: &after}
}

// Number is what a member of an answer says, a JSON number or a string that holds one.
func Number(value any) (float64, bool) {
	var text string
	switch value := value.(type) {
	case json.Number:
		text = value.String()
	case string:
		text = strings.TrimSpace(value)
	}
	// ParseFloat reads more than JSON has: names, hexadecimal digits.
	if strings.Trim(text, "0123456789+-.eE") != "" {
		return 0, false
	}
	number, err := strconv.ParseFloat(text, 64)
	return number, err == nil
}
