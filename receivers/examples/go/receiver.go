// Package headers writes access tokens as the files that `curl --header @FILE` reads, one for each instance.
package headers

import (
	"slices"
	"strings"

	"deputy/kit"
)

// Description is what the receiver says about itself.
var Description = kit.Description{Title: "Access tokens as headers for curl", Wants: wants}

type receiver struct{}

// New is what the kit calls.
func New() kit.Receiver { return receiver{} }

func (receiver) Kinds(settings kit.Settings) ([]string, error) {
	return []string{kit.BearerToken}, settings.Check(nil)
}

func (receiver) Check(settings kit.Settings, bound []kit.Bound) error {
	for _, instance := range bound {
		if len(instance.Kinds) > 0 && !slices.Contains(instance.Kinds, kit.BearerToken) {
			return &kit.Failure{Next: kit.Misconfigured, Message: instance.Instance + " obtains no " + kit.BearerToken}
		}
	}
	return settings.Check(nil)
}

func (receiver) Accept(_ kit.Settings, deliveries []kit.Delivery) (*kit.Accepted, error) {
	accepted := kit.Accepted{Files: map[string][]byte{}, Rejected: map[string]*kit.Failure{}}
	for _, delivery := range deliveries {
		token := string(delivery.Payload)
		// A line break would start another header.
		if token == "" || strings.ContainsFunc(token, func(letter rune) bool { return letter <= ' ' || letter > '~' }) {
			accepted.Rejected[delivery.Instance] = &kit.Failure{Next: kit.Denied, Message: "the payload is not one word"}
			continue
		}
		accepted.Files[delivery.Instance+".header"] = []byte("Authorization: Bearer " + token + "\n")
	}
	return &accepted, nil
}

func wants(settings kit.Settings) ([]kit.Want, error) { return nil, settings.Check(nil) }
