package balance

import (
	"math/rand/v2"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// Random returns a picker that takes any candidate, each with the same probability
// and regardless of all earlier picks. So the spread is even in the long run,
// whatever the candidates are and in whichever rhythm lists arrive: after m picks
// of n candidates, each was picked m/n times, give or take the square root of that.
func Random[T any]() affinity.Picker[T] {
	return policy[T](func(_ *extract.Request, candidates []T) int {
		return rand.IntN(len(candidates))
	})
}
