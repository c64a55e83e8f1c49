// Package values turns the values of the kit into those of the generated code, and back.
package values

import (
	"time"

	"deputy/kit"
	"wit_component/delegation_tokens_types"

	"go.bytecodealliance.org/pkg/wit/types"
)

func Settings(given []delegation_tokens_types.Setting) kit.Settings {
	names := kit.Settings{}
	for _, setting := range given {
		names[setting.Name] = setting.Value
	}
	return names
}

func Expiry(given kit.Expiry) delegation_tokens_types.Expiry {
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

func Timestamp(given time.Time) wit_types.Option[uint64] {
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
