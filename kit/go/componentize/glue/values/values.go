// Package values turns the values of the kit into those of the generated code, and back.
package values

import (
	"time"

	"deputy/kit"
	"wit_component/delegation_tokens_types"

	"go.bytecodealliance.org/pkg/wit/types"
)

type tokens = delegation_tokens_types.Tokens

func Settings(given []delegation_tokens_types.Setting) kit.Settings {
	names := kit.Settings{}
	for _, setting := range given {
		names[setting.Name] = setting.Value
	}
	return names
}

// Obtained is what a function that brings tokens returns.
func Obtained(obtained *kit.Tokens, failed *kit.Failure) wit_types.Result[tokens, delegation_tokens_types.Failure] {
	if failed != nil {
		return Result(tokens{}, failed)
	}
	return Result(tokens{
		Kind:           obtained.Kind,
		Payload:        obtained.Payload,
		Expiry:         expiry(obtained.Expiry),
		NextAt:         timestamp(obtained.NextAt),
		RenewableUntil: timestamp(obtained.RenewableUntil),
		Handle:         obtained.Handle,
		Facts:          Facts(obtained.Facts),
	}, nil)
}

// Tokens are those that the host holds.
func Tokens(held tokens) *kit.Tokens {
	facts := map[string]string{}
	for _, fact := range held.Facts {
		facts[fact.Name] = fact.Value
	}
	return &kit.Tokens{
		Kind:           held.Kind,
		Payload:        held.Payload,
		Expiry:         heldExpiry(held.Expiry),
		NextAt:         at(held.NextAt),
		RenewableUntil: at(held.RenewableUntil),
		Handle:         held.Handle,
		Facts:          facts,
	}
}

func heldExpiry(held delegation_tokens_types.Expiry) kit.Expiry {
	switch held.Tag() {
	case delegation_tokens_types.Expiry_Never:
		return kit.Expiry{Never: true}
	case delegation_tokens_types.Expiry_At:
		return kit.Expiry{At: time.UnixMilli(int64(held.At()))}
	case delegation_tokens_types.Expiry_AfterMs:
		after := time.Duration(held.AfterMs()) * time.Millisecond
		return kit.Expiry{After: &after}
	}
	return kit.Expiry{}
}

func at(given wit_types.Option[uint64]) time.Time {
	if given.Tag() == wit_types.OptionNone {
		return time.Time{}
	}
	return time.UnixMilli(int64(given.Some()))
}

func expiry(given kit.Expiry) delegation_tokens_types.Expiry {
	switch {
	case given.Never:
		return delegation_tokens_types.MakeExpiryNever()
	case given.After != nil:
		return delegation_tokens_types.MakeExpiryAfterMs(uint64(max(given.After.Milliseconds(), 0)))
	case !given.At.IsZero():
		return delegation_tokens_types.MakeExpiryAt(uint64(max(given.At.UnixMilli(), 0)))
	}
	return delegation_tokens_types.MakeExpiryUnknown()
}

func timestamp(given time.Time) wit_types.Option[uint64] {
	if given.IsZero() {
		return wit_types.None[uint64]()
	}
	return wit_types.Some(uint64(max(given.UnixMilli(), 0)))
}

// Result is what an exported function returns.
func Result[T any](value T, failed *kit.Failure) wit_types.Result[T, delegation_tokens_types.Failure] {
	if failed == nil {
		return wit_types.Ok[T, delegation_tokens_types.Failure](value)
	}
	return wit_types.Err[T](Failure(failed))
}

func Failure(failed *kit.Failure) delegation_tokens_types.Failure {
	return delegation_tokens_types.Failure{
		Next:         delegation_tokens_types.Next(failed.Next),
		Message:      failed.Message,
		Code:         text(failed.Code),
		Setting:      text(failed.Setting),
		RetryAfterMs: milliseconds(failed.RetryAfter),
		Facts:        Facts(failed.Facts),
	}
}

func milliseconds(given time.Duration) wit_types.Option[uint64] {
	if given <= 0 {
		return wit_types.None[uint64]()
	}
	return wit_types.Some(uint64(given.Milliseconds()))
}

func text(given string) wit_types.Option[string] {
	if given == "" {
		return wit_types.None[string]()
	}
	return wit_types.Some(given)
}

func Facts(given map[string]string) []delegation_tokens_types.Fact {
	var list []delegation_tokens_types.Fact
	for name, value := range given {
		list = append(list, delegation_tokens_types.Fact{Name: name, Value: value})
	}
	return list
}
