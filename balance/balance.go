package balance

import (
	"context"
	"math"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// A policy gives the index of its choice. It is never asked about an empty
// list. Being a Picker, it is all that a constructor has to return.
type policy[T any] func(req *extract.Request, candidates []T) int

func (p policy[T]) Pick(_ context.Context, req *extract.Request, candidates []T) (T, error) {
	if len(candidates) == 0 {
		var none T
		return none, affinity.ErrNoCandidates
	}
	return candidates[p(req, candidates)], nil
}

// known returns load, or the highest there is in place of NaN, which has no
// order and would make the choice depend on that of the candidates.
func known(load float64) float64 {
	if math.IsNaN(load) {
		return math.Inf(1)
	}
	return load
}
