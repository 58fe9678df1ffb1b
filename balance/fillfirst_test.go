package balance_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/balance"
)

func TestFillFirstTakesTheFirst(t *testing.T) {
	t.Parallel()
	p, ts := balance.FillFirst[*target](), targets(5)
	for i := range ts {
		for range 10 {
			require.Same(t, ts[i], pick(t, p, nil, ts[i:]))
		}
	}
}
