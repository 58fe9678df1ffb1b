package main

import (
	"hash/maphash"

	"github.com/go-affinity/affinity/extract"
)

var seed = maphash.MakeSeed()

// limitAt returns a number for the limit that the request counts against at u, as far as
// anybody can tell: providers count each model by itself, some of them what is done with it
// (Anthropic counts of tokens), and each client where it is the client's credential that is sent.
func (x *exchange) limitAt(u *upstream) uint64 {
	if x.limits[0] == 0 {
		model := x.model()
		for i, who := range [2]string{1: extract.Credential(x.req) + x.req.Scope} {
			x.limits[i] = max(1, maphash.Comparable(seed, [3]string{x.req.Path, model, who}))
		}
	}
	if u.key == "" {
		return x.limits[1]
	}
	return x.limits[0]
}

// pays reports whether what the request costs at u is on an account of its client: u gets the
// credential of the client, and there is one.
func (x *exchange) pays(u *upstream) bool { return x.limitAt(u) != x.limits[0] }

// inBody finds the model in a body.
var inBody = extract.Body("model")

// model returns the model that the body names, or "": then there is none, or the path names it,
// or it counts as one with all that cannot be found, as in what is not JSON.
func (x *exchange) model() string {
	s, _ := inBody.Extract(x.req)
	return s.ID
}
