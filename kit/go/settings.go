package kit

import (
	"net/url"
	"slices"
	"strings"
)

// Settings are an instance's settings by name.
type Settings map[string]string

// SettingSpec is a setting that a connector reads: one definition for reading and for describing it.
type SettingSpec struct {
	// Name may be a family: `form.*` has members of any name, such as `form.organization`.
	Name string
	// Type is what it holds: `text`, `url`, `duration`, `number`, `boolean`, `list`, `secret`, or the values as `a | b`.
	Type string
	// Text says what it is for, in one line.
	Text string
	// Default says what the connector does without it.
	Default string
	// Needed is `yes` for a setting that must be there. Another text says when it is needed.
	Needed string
}

// Check fails for a setting that is none of these, is missing though it is always needed, or is empty. A misspelt name is an
// error: otherwise a default would silently apply.
func (settings Settings) Check(specs []SettingSpec) error {
	for name, value := range settings {
		if !slices.ContainsFunc(specs, func(spec SettingSpec) bool { return spec.means(name) }) {
			return WrongSetting(name, "no such setting here; there are: "+names(specs))
		}
		if strings.TrimSpace(value) == "" {
			return WrongSetting(name, "it is empty; give it a value or remove it")
		}
	}
	for _, spec := range specs {
		if _, found := settings[spec.Name]; !found && spec.Needed == "yes" {
			return WrongSetting(spec.Name, "it is missing")
		}
	}
	return nil
}

// URL is the URL of a setting, that a request can be sent to.
func (settings Settings) URL(name string) (*url.URL, error) {
	target, err := url.Parse(settings[name])
	if err != nil || target.Host == "" || target.User != nil || (target.Scheme != "http" && target.Scheme != "https") {
		return nil, WrongSetting(name, "not a URL such as https://login.example/token")
	}
	return target, nil
}

// Family are the settings of a family by the names of its members: of `form`, `organization` for `form.organization`.
func (settings Settings) Family(family string) map[string]string {
	members := map[string]string{}
	for name, value := range settings {
		if member, found := strings.CutPrefix(name, family+"."); found {
			members[member] = value
		}
	}
	return members
}

func (spec SettingSpec) means(name string) bool {
	family, isFamily := strings.CutSuffix(spec.Name, "*")
	if isFamily && strings.HasSuffix(family, ".") {
		return strings.HasPrefix(name, family) && name != family
	}
	return name == spec.Name
}

func names(specs []SettingSpec) string {
	list := make([]string, len(specs))
	for i, spec := range specs {
		list[i] = spec.Name
	}
	return strings.Join(list, ", ")
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
