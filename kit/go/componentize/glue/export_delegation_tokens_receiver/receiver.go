// Package export_delegation_tokens_receiver joins the code that wit-bindgen generates to a receiver of the kit.
package export_delegation_tokens_receiver

import (
	receiver "AUTHOR"
	"time"

	"deputy/kit"
	"wit_component/delegation_tokens_outputs"
	contract "wit_component/delegation_tokens_receiver"
	"wit_component/delegation_tokens_types"
	"wit_component/values"

	"go.bytecodealliance.org/pkg/wit/types"
)

type (
	settings = []delegation_tokens_types.Setting
	failure  = delegation_tokens_types.Failure
)

func Kinds(given settings) wit_types.Result[[]string, failure] {
	return values.Result(kit.Call(receiver.New().Kinds, values.Settings(given)))
}

func Check(given settings, bound []contract.Bound) wit_types.Result[wit_types.Unit, failure] {
	instances := make([]kit.Bound, len(bound))
	for i, instance := range bound {
		instances[i] = kit.Bound(instance)
	}
	check := func(settings kit.Settings) (wit_types.Unit, error) {
		return wit_types.Unit{}, receiver.New().Check(settings, instances)
	}
	return values.Result(kit.Call(check, values.Settings(given)))
}

func Accept(given settings, deliveries []contract.Delivery) wit_types.Result[contract.Accepted, failure] {
	accept := func(settings kit.Settings) (*kit.Accepted, error) {
		return receiver.New().Accept(settings, kept(deliveries))
	}
	accepted, failed := kit.Call(accept, values.Settings(given))
	if failed != nil {
		return values.Result(contract.Accepted{}, failed)
	}
	for path, contents := range accepted.Files {
		if put := delegation_tokens_outputs.Put(path, contents); put.IsErr() {
			return values.Result(contract.Accepted{}, kit.NotPut(path))
		}
	}
	rejected := make([]contract.Rejection, 0, len(accepted.Rejected))
	for instance, reason := range accepted.Rejected {
		rejected = append(rejected, contract.Rejection{Instance: instance, Failure: values.Failure(reason)})
	}
	return values.Result(contract.Accepted{Rejected: rejected, Facts: values.Facts(accepted.Facts)}, nil)
}

func kept(deliveries []contract.Delivery) []kit.Delivery {
	list := make([]kit.Delivery, len(deliveries))
	for i, delivery := range deliveries {
		list[i] = kit.Delivery{
			Instance: delivery.Instance, Service: delivery.Service, Revision: delivery.Revision,
			Kind: delivery.Kind, Payload: delivery.Payload,
			ObtainedAt: time.UnixMilli(int64(delivery.ObtainedAt)),
		}
		if delivery.Expiry.Tag() == delegation_tokens_types.Expiry_At {
			list[i].ExpiresAt = time.UnixMilli(int64(delivery.Expiry.At()))
		}
	}
	return list
}
