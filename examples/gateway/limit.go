package main

import (
	"bytes"
	"hash/maphash"

	"github.com/go-affinity/affinity/extract"
)

var seed = maphash.MakeSeed()

// limitAt returns a number for the limit that the request counts against at u, as far as
// anybody can tell: providers count each model by itself, and each client where it is the
// client's credential that is sent.
func (x *exchange) limitAt(u *upstream) uint64 {
	if x.limits[0] == 0 {
		all := max(1, maphash.String(seed, x.model()))
		x.limits = [2]uint64{all, all}
		if who := extract.Credential(x.req) + x.req.Scope; who != "" {
			x.limits[1] ^= maphash.String(seed, who)
		}
	}
	if u.key == "" {
		return x.limits[1]
	}
	return x.limits[0]
}

// pays reports whether what the request costs at u is on an account of its client.
func (x *exchange) pays(u *upstream) bool { return x.limitAt(u) != x.limits[0] }

// nearEnd is how much of a body is searched for the model at each of its ends.
const nearEnd = 1 << 10

// model returns what names the model: a member near one of the ends of the body, where most
// clients have it, or else the path.
func (x *exchange) model() string {
	body := x.req.Body
	ends := [][]byte{body}
	if len(body) > 2*nearEnd {
		ends = [][]byte{body[:nearEnd], body[len(body)-nearEnd:]}
	}
	for _, end := range ends {
		for value := range members(end, `"model"`) {
			if text, ok := bytes.CutPrefix(value, []byte(`"`)); ok {
				name, _, _ := bytes.Cut(text, []byte(`"`))
				return string(name)
			}
		}
	}
	return x.req.Path
}
