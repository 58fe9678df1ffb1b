package balance

import (
	"context"
	"math/rand/v2"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// A policy returns the index of the candidate that it chooses. It is never called
// with an empty list. A policy is an affinity.Picker, so a constructor has nothing
// else to write.
type policy[T any] func(req *extract.Request, candidates []T) int

// Pick implements affinity.Picker.
func (p policy[T]) Pick(_ context.Context, req *extract.Request, candidates []T) (T, error) {
	if len(candidates) == 0 {
		var none T
		return none, affinity.ErrNoCandidates
	}
	return candidates[p(req, candidates)], nil
}

// A choice is the candidate with the lowest score among those that it was offered.
// Among several with the same score, each is equally likely.
type choice struct {
	i     int // index of the candidate
	score float64
	ties  int // how many candidates have this score; 0 if none was offered
}

// offer offers candidate i, whose score that is.
func (c *choice) offer(i int, score float64) {
	switch {
	case c.ties == 0 || score < c.score:
		*c = choice{i, score, 1}
	case score == c.score:
		// The k-th candidate with this score takes the place of the one before
		// with probability 1/k. That gives each of the k the same probability.
		if c.ties++; rand.IntN(c.ties) == 0 {
			c.i = i
		}
	}
}
