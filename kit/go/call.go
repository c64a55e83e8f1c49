package kit

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Call calls a method of a provider, and makes a failure of every error and panic. Uncaught, a panic is a trap, which
// tells the operator nothing. Of another error than a *Failure only the type is named: its text may quote a token.
func Call[T any](method func(Settings) (T, error), settings Settings) (value T, failure *Failure) {
	// The collector reads the clock, also while the host writes into this component, which may call nothing then. The
	// component is gone after the call, and the host bounds its memory.
	debug.SetGCPercent(-1)
	defer func() {
		if reason := recover(); reason != nil {
			failure = bug(reason)
		}
	}()
	value, err := method(settings)
	if err == nil || errors.As(err, &failure) {
		return value, failure
	}
	return value, bug(err)
}

func bug(reason any) *Failure {
	return &Failure{Next: Unavailable, Message: fmt.Sprintf("bug: %T", reason)}
}
