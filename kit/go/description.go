package kit

import "slices"

// Description is what a connector says about itself, for `deputy inspect`, `deputy check` and `deputy add`:
// wit/description.wit. The package of one whose world includes `describes-itself` has it as the variable `Description`.
type Description struct {
	// Title says what it obtains or writes, in a few words.
	Title string
	// Version and Documentation, a URL, may be empty.
	Version, Documentation string
	Settings               []SettingSpec
	// Wants is what it wants to be granted with these settings. It does no I/O.
	Wants func(settings Settings) ([]Want, error)
}

// Want is something that a connector wants to be granted: `http`, `tcp`, `secret`, `kerberos` or `state`.
type Want struct {
	Kind       string
	Properties []Property
}

// Property is a named text.
type Property struct{ Name, Value string }

// NewWant makes a want of a kind and the names and values of its properties: a name, its value, and so on. A property with
// an empty value is left out.
func NewWant(kind string, properties ...string) Want {
	return Want{kind, Properties(properties...)}
}

// Properties are those of names and values that have a value.
func Properties(namesAndValues ...string) (list []Property) {
	for pair := range slices.Chunk(namesAndValues, 2) {
		if len(pair) == 2 && pair[1] != "" {
			list = append(list, Property{pair[0], pair[1]})
		}
	}
	return list
}
