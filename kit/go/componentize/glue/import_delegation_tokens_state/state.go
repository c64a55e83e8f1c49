// Package import_delegation_tokens_state gives the kit the state of the generated code.
package import_delegation_tokens_state

import (
	"deputy/kit"
	"wit_component/delegation_tokens_state"

	"go.bytecodealliance.org/pkg/wit/types"
)

func init() { kit.State = state{} }

type state struct{}

func (state) Load() ([]byte, error) {
	loaded := delegation_tokens_state.Load()
	if loaded.IsErr() {
		return nil, failure(loaded.Err())
	}
	if value := loaded.Ok(); value.Tag() == wit_types.OptionSome {
		return value.Some(), nil
	}
	return nil, nil
}

func (state) Save(value []byte) error {
	if saved := delegation_tokens_state.Save(value); saved.IsErr() {
		return failure(saved.Err())
	}
	return nil
}

func failure(reason delegation_tokens_state.StateError) *kit.Failure {
	switch reason.Tag() {
	case delegation_tokens_state.StateError_Denied:
		return &kit.Failure{Next: kit.Misconfigured, Message: "state is not granted: " + reason.Denied()}
	case delegation_tokens_state.StateError_TooLarge:
		return &kit.Failure{Next: kit.Misconfigured, Message: "too large for state: " + reason.TooLarge()}
	}
	return &kit.Failure{Next: kit.Unavailable, Message: "state cannot be used now: " + reason.Unavailable()}
}
