package balance

import (
	"math/rand/v2"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// PowerOfTwo returns a picker that draws two different candidates at random
// and takes the one with the lower load, either of them if the loads are
// equal. A single candidate is taken as it is.
//
// It comes close to [Least] in evenness, asks for two loads only, and unlike
// Least it does not send everybody to the same target while a load that was
// low is about to be reported as high.
//
// Load may be measured in anything, and may be negative; NaN counts as +Inf.
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
		if known(load(candidates[j])) < known(load(candidates[i])) {
			return j
		}
		return i
	})
}
