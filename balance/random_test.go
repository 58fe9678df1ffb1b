package balance_test

import (
	"strconv"
	"testing"

	"github.com/go-affinity/affinity/balance"
)

func TestRandomIsUniform(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3, 10, 64} {
		t.Run("targets="+strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			requireShares(t, equal(n), tally(t, balance.Random[*target](), targets(n), 1000*n))
		})
	}
}
