package kit

// State is the one value of an instance that outlives its leases. `componentize` sets it if the component's world includes
// `keeps-state`.
var State Keeper = noState{}

// Keeper keeps one value. An error is a *Failure.
type Keeper interface {
	// Load is the value that was saved last, or nil.
	Load() ([]byte, error)
	// Save replaces the value, which is durable when this returns. An empty one removes it.
	Save(value []byte) error
}

type noState struct{}

func (noState) Load() ([]byte, error) { return nil, errNoState }
func (noState) Save([]byte) error     { return errNoState }

var errNoState = &Failure{Next: Misconfigured, Message: "the world of this component does not include keeps-state"}
