// Package kit is what a provider in Go needs beside the contract: its types as plain Go, HTTP, and failures.
package kit

import (
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Provider is what every provider is. A method that returns an error which is no *Failure, or panics, gives a failure
// that names only the error's type: its text may quote a token.
type Provider interface {
	ServiceName(settings Settings) (string, error)
	Kinds(settings Settings) ([]string, error)
	TokensRequired(settings Settings) (bool, error)
	Obtain(settings Settings) (*Tokens, error)
}

// Tokens are what a provider obtained.
type Tokens struct {
	Kind    string
	Payload []byte
	Expiry  Expiry
	// NextAt and RenewableUntil are zero where the service did not say.
	NextAt, RenewableUntil time.Time
	Handle                 []byte
	Facts                  map[string]string
}

// Expiry is until when the service accepts tokens. The zero value says that it did not say.
type Expiry struct {
	Never bool
	At    time.Time
	// After counts from the beginning of the call. It is nil where there is none: 0 means expired.
	After *time.Duration
}

// After is an expiry a number of seconds after the beginning of the call, as `expires_in` means it.
func After(seconds float64) Expiry {
	if seconds > (100 * 366 * 24 * time.Hour).Seconds() {
		return Expiry{Never: true}
	}
	after := time.Duration(max(seconds, 0) * float64(time.Second))
	return Expiry{After: &after}
}

// Number is a JSON number, which services write as a string, too.
type Number float64

// UnmarshalJSON takes both.
func (number *Number) UnmarshalJSON(text []byte) error {
	value, err := strconv.ParseFloat(strings.Trim(string(text), `" `), 64)
	*number = Number(value)
	return err
}

// Expiry is what `expires_in` means, also where it is absent.
func (number *Number) Expiry() Expiry {
	if number == nil {
		return Expiry{}
	}
	return After(float64(*number))
}

// Next is what the host does after a failure.
type Next uint8

// In the contract's order.
const (
	Misconfigured Next = iota
	Denied
	Unavailable
	Throttled
	Ended
	Attention
)

// Failure is why a call failed. It is the error to return.
type Failure struct {
	Next       Next
	Message    string
	Code       string
	Setting    string
	RetryAfter time.Duration
	Facts      map[string]string
}

func (failure *Failure) Error() string { return failure.Message }

func isNoText(letter rune) bool { return unicode.IsSpace(letter) || !unicode.IsPrint(letter) }
