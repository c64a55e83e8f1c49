// Package export_delegation_tokens_description joins the code that wit-bindgen generates to a description of the kit.
package export_delegation_tokens_description

import (
	connector "AUTHOR"
	"deputy/kit"
	contract "wit_component/delegation_tokens_description"
	"wit_component/delegation_tokens_types"
	"wit_component/values"

	"go.bytecodealliance.org/pkg/wit/types"
)

func About() []contract.Property {
	about := connector.Description
	return properties(kit.Properties("title", about.Title, "version", about.Version, "documentation", about.Documentation))
}

func KnownSettings() []contract.DescribedSetting {
	var list []contract.DescribedSetting
	for _, spec := range connector.Description.Settings {
		parts := kit.Properties("text", spec.Text, "type", spec.Type, "default", spec.Default, "needed", spec.Needed)
		list = append(list, contract.DescribedSetting{Name: spec.Name, Properties: properties(parts)})
	}
	return list
}

func Wants(given []delegation_tokens_types.Setting) wit_types.Result[[]contract.Want, delegation_tokens_types.Failure] {
	wants, failed := kit.Call(connector.Description.Wants, values.Settings(given))
	var list []contract.Want
	for _, want := range wants {
		list = append(list, contract.Want{Kind: want.Kind, Properties: properties(want.Properties)})
	}
	return values.Result(list, failed)
}

func properties(parts []kit.Property) []contract.Property {
	var list []contract.Property
	for _, part := range parts {
		list = append(list, contract.Property(part))
	}
	return list
}
