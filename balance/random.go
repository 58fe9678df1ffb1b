package balance

import (
	"math/rand/v2"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// Random returns a picker that takes any candidate, each with the same
// probability and regardless of all earlier picks. Whatever the candidates and
// the rhythm they arrive in, the spread is even in the long run: after m picks
// of n candidates, expect each to be off its m/n by the square root of that.
func Random[T any]() affinity.Picker[T] {
	return policy[T](func(_ *extract.Request, candidates []T) int {
		return rand.IntN(len(candidates))
	})
}
