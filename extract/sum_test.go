package extract

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The second half of a sum is of all that goes in.
func TestSumsDependOnAll(t *testing.T) {
	t.Parallel()
	seen := map[uint64]bool{}
	for _, s := range []sum{
		sum{1, 2}.add(3, 4), sum{5, 2}.add(3, 4), sum{1, 5}.add(3, 4), sum{1, 2}.add(5, 4), sum{1, 2}.add(3, 5),
		sum{1, 2}.join(3, sum{4, 6}), sum{5, 2}.join(3, sum{4, 6}), sum{1, 5}.join(3, sum{4, 6}), sum{1, 2}.join(5, sum{4, 6}),
		sum{1, 2}.join(3, sum{5, 6}), sum{1, 2}.join(3, sum{4, 5}),
	} {
		require.False(t, seen[s[1]])
		seen[s[1]] = true
	}
}
