package kit

import (
	"slices"
	"strings"
)

// Settings are an instance's settings by name.
type Settings map[string]string

// Require fails for a setting that is none of the named ones, is missing though it is required, or is empty. A misspelt
// name is an error: otherwise a default would silently apply. A name that ends in a dot is a family: `form.` has members
// of any name, such as `form.organization`.
func (settings Settings) Require(required []string, optional ...string) error {
	known := slices.Concat(required, optional)
	slices.Sort(known)
	for name, value := range settings {
		if !slices.ContainsFunc(known, func(known string) bool { return known == name || isMember(name, known) }) {
			return WrongSetting(name, "no such setting here; there are: "+strings.Join(known, ", "))
		}
		if strings.TrimSpace(value) == "" {
			return WrongSetting(name, "it is empty; give it a value or remove it")
		}
	}
	for _, name := range required {
		if _, found := settings[name]; !found {
			return WrongSetting(name, "it is missing")
		}
	}
	return nil
}

func isMember(name, family string) bool {
	return strings.HasSuffix(family, ".") && strings.HasPrefix(name, family) && name != family
}

// WrongSetting is a failure that names the setting, so that `deputy check` shows its line.
func WrongSetting(name, problem string) *Failure {
	return &Failure{Next: Misconfigured, Message: "setting `" + OneLine(name, 100) + "`: " + problem, Setting: name}
}

// OneLine makes untrusted text safe for a log: printable, on one line, with at most limit letters.
func OneLine(text string, limit int) string {
	letters := []rune(strings.Join(strings.FieldsFunc(text, isNoText), " "))
	if len(letters) > limit {
		return string(letters[:limit]) + "…"
	}
	return string(letters)
}
