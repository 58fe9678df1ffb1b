package balance

import (
	"context"
	"math"
	"math/rand/v2"

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

// A choice is the candidate with the least score so far, any of several.
type choice struct {
	i     int
	score float64
	ties  int
}

// offer takes candidate i if its score is lower.
func (c *choice) offer(i int, score float64) {
	switch {
	case c.ties == 0 || score < c.score:
		*c = choice{i, score, 1}
	case score == c.score:
		// The k-th of the tied ones replaces the choice with probability
		// 1/k, which leaves each with the same.
		if c.ties++; rand.IntN(c.ties) == 0 {
			c.i = i
		}
	}
}
