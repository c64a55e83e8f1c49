// Package export_delegation_tokens_renewal joins the code that wit-bindgen generates to a renewer of the kit.
package export_delegation_tokens_renewal

import (
	provider "AUTHOR"
	"deputy/kit"
	"wit_component/delegation_tokens_types"
	"wit_component/values"

	"go.bytecodealliance.org/pkg/wit/types"
)

type tokens = delegation_tokens_types.Tokens

func Renew(given []delegation_tokens_types.Setting, held tokens) wit_types.Result[tokens, delegation_tokens_types.Failure] {
	renew := func(settings kit.Settings) (*kit.Tokens, error) {
		return provider.New().Renew(settings, values.Tokens(held))
	}
	return values.Obtained(kit.Call(renew, values.Settings(given)))
}
