package balance

import (
	"sync/atomic"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// RoundRobin returns a picker that takes the candidates in turn, beginning
// with the first. Of n candidates, n picks in a row take each exactly once,
// whichever goroutines they come from.
//
// Lists of different length have turns of their own. So a retry among one candidate
// fewer, however regularly it happens, does not skip anybody's turn in the full
// list, and the candidates that remain share the retries evenly.
//
// Lists of equal length share a turn, even if they hold different targets, and so may
// lists of 64 and more. If such lists arrive in a fixed rhythm, say those of two models
// alternately, each of them may see only every other turn. Give each pool of targets a
// picker of its own.
func RoundRobin[T any]() affinity.Picker[T] {
	// The turns of short lists are indexed by length, those of long ones modulo short.
	const short = 64
	var turns [2 * short]atomic.Uint64
	return policy[T](func(_ *extract.Request, candidates []T) int {
		n := len(candidates)
		at := n
		if n >= short {
			at = short + n%short
		}
		turn := turns[at].Add(1) - 1
		return int(turn % uint64(n))
	})
}
