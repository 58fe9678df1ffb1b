package extract

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// A conversation of which no text ends as its system prompt does is not read again, but for a few,
// even if it is long.
func TestEndSetIsSeldomWrong(t *testing.T) {
	t.Parallel()
	var s endSet
	text := func(i int) []byte { return fmt.Appendf(nil, "Where is number %08d?", i) }
	const n = 300
	for i := range n {
		s.add(text(i))
	}
	wrong := 0
	for i := range 100 * n {
		if s.mayHave(text(i)) {
			wrong++
		} else {
			require.GreaterOrEqual(t, i, n)
		}
	}
	require.Less(t, wrong-n, 100*n/25)
}
