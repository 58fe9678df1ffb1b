package balance

import (
	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// Least returns a picker that takes the candidate with the least load. Among
// several with the same least load, each has the same probability.
//
// The function load is called once for each candidate. It should already count the
// pick before, or many requests that arrive together all go to one target. If it
// learns late, take [PowerOfTwo].
//
// Load may be in any unit, and may be negative; NaN counts as +Inf. Least panics if
// load is nil.
func Least[T any](load func(target T) float64) affinity.Picker[T] {
	if load == nil {
		panic("balance: Least needs a load function")
	}
	return policy[T](func(_ *extract.Request, candidates []T) int {
		var least choice
		for i, c := range candidates {
			least.offer(i, orInf(load(c)))
		}
		return least.i
	})
}
