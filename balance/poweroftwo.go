package balance

import (
	"math"
	"math/rand/v2"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// PowerOfTwo returns a picker that draws two different candidates at random and
// takes the one with the lower load, or either of them if the loads are equal. If
// there is only one candidate, it is taken, and load is not called.
//
// It is nearly as even as taking the least loaded of all. And while a load that has
// risen is still reported as low, it does not send everybody there.
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

// orInf returns load, or +Inf for NaN. NaN has no order, so what is chosen
// would depend on the order of the candidates.
func orInf(load float64) float64 {
	if math.IsNaN(load) {
		return math.Inf(1)
	}
	return load
}
