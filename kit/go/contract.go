// Package kit is what a provider in Go needs beside the contract: its types as plain Go, HTTP, and failures.
package kit

import (
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

// Renewer is a provider whose service renews tokens: its world includes `renews-tokens`.
type Renewer interface {
	Provider
	Renew(settings Settings, tokens *Tokens) (*Tokens, error)
}

// Revoker is a provider whose service revokes tokens: its world includes `revokes-tokens`. To revoke tokens that are gone is
// a success.
type Revoker interface {
	Provider
	Revoke(settings Settings, tokens *Tokens) error
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
