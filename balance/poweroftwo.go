package balance

import (
	"math/rand/v2"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// PowerOfTwo returns a picker that draws two different candidates at random and
// takes the one with the lower load, or either of them if the loads are equal. If
// there is only one candidate, it is taken, and load is not called.
//
// It comes close to [Least] in evenness and asks for two loads only. And unlike
// Least, it does not send everybody to the same target in the time between a load
// being low and being reported as high.
//
// Load may be in any unit, and may be negative; NaN counts as +Inf. PowerOfTwo
// panics if load is nil.
//
// See Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing".
func PowerOfTwo[T any](load func(target T) float64) affinity.Picker[T] {
	if load == nil {
		panic("balance: PowerOfTwo needs a load function")
	}
	return policy[T](func(_ *extract.Request, candidates []T) int {
		n := len(candidates)
		if n == 1 {
			return 0
		}
		i, j := rand.IntN(n), rand.IntN(n-1)
		if j >= i {
			j++ // any index but i
		}
		if orInf(load(candidates[j])) < orInf(load(candidates[i])) {
			return j
		}
		return i
	})
}
