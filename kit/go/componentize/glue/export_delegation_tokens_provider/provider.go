// Package export_delegation_tokens_provider joins the code that wit-bindgen generates to a provider of the kit.
package export_delegation_tokens_provider

import (
	provider "AUTHOR"
	"deputy/kit"
	"wit_component/delegation_tokens_types"
	"wit_component/values"

	"go.bytecodealliance.org/pkg/wit/types"
)

type (
	settings = []delegation_tokens_types.Setting
	failure  = delegation_tokens_types.Failure
	tokens   = delegation_tokens_types.Tokens
)

func ServiceName(given settings) wit_types.Result[string, failure] {
	return values.Result(kit.Call(provider.New().ServiceName, values.Settings(given)))
}

func Kinds(given settings) wit_types.Result[[]string, failure] {
	return values.Result(kit.Call(provider.New().Kinds, values.Settings(given)))
}

func TokensRequired(given settings) wit_types.Result[bool, failure] {
	return values.Result(kit.Call(provider.New().TokensRequired, values.Settings(given)))
}

func Obtain(given settings) wit_types.Result[tokens, failure] {
	return values.Obtained(kit.Call(provider.New().Obtain, values.Settings(given)))
}
