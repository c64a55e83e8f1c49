// Package export_delegation_tokens_revocation joins the code that wit-bindgen generates to a revoker of the kit.
package export_delegation_tokens_revocation

import (
	provider "AUTHOR"
	"deputy/kit"
	"wit_component/delegation_tokens_types"
	"wit_component/values"

	"go.bytecodealliance.org/pkg/wit/types"
)

type failure = delegation_tokens_types.Failure

func Revoke(
	given []delegation_tokens_types.Setting, held delegation_tokens_types.Tokens,
) wit_types.Result[wit_types.Unit, failure] {
	revoke := func(settings kit.Settings) (wit_types.Unit, error) {
		return wit_types.Unit{}, provider.New().Revoke(settings, values.Tokens(held))
	}
	return values.Result(kit.Call(revoke, values.Settings(given)))
}
