package kit

import "time"

// Receiver is what every receiver is. Errors and panics of its methods become failures as those of a Provider do.
type Receiver interface {
	Kinds(settings Settings) ([]string, error)
	Check(settings Settings, bound []Bound) error
	Accept(settings Settings, deliveries []Delivery) (*Accepted, error)
}

// Bound is an instance whose tokens are delivered to a receiver.
type Bound struct {
	Instance, Service string
	Kinds             []string
}

// Delivery is the current tokens of an instance.
type Delivery struct {
	Instance, Service string
	Revision          uint64
	Kind              string
	Payload           []byte
	// ExpiresAt is zero for tokens that never expire.
	ExpiresAt, ObtainedAt time.Time
}

// Accepted is what a receiver made of its deliveries. If any are rejected, by their instances' names, no file is published.
type Accepted struct {
	Files    map[string][]byte
	Rejected map[string]*Failure
	Facts    map[string]string
}

// NotPut is the failure for a file that the host does not take.
func NotPut(path string) *Failure {
	return &Failure{Next: Misconfigured, Message: "the host does not take the file " + OneLine(path, 100)}
}
