package balance

import (
	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// FillFirst returns a picker that always takes the first candidate: the order
// of the list is the priority. It fills one account up before it touches the
// next, if the caller leaves out those that are full.
func FillFirst[T any]() affinity.Picker[T] {
	return policy[T](func(*extract.Request, []T) int { return 0 })
}
