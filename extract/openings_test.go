package extract

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// match relies on both, and finds each to the letter.
func TestOpeningsAreSortedAndApart(t *testing.T) {
	t.Parallel()
	for _, openings := range [][]opening{systemOpenings, personOpenings} {
		require.True(t, slices.IsSortedFunc(openings, func(a, b opening) int { return strings.Compare(a.text, b.text) }))
		for i, o := range openings {
			require.LessOrEqual(t, len(o.text), 200, o.text)
			if i > 0 {
				require.False(t, strings.HasPrefix(o.text, openings[i-1].text), o.text)
			}
			for _, behind := range []string{"", " and", "\U0010ffff"} {
				c, ok := match(openings, []byte(strings.ReplaceAll(o.text+behind, "\n", `\n`)))
				require.True(t, ok, o.text)
				require.Equal(t, o.class, c, o.text)
			}
			_, ok := match(openings, []byte(strings.ReplaceAll(o.text[:len(o.text)-1], "\n", `\n`)))
			require.False(t, ok, o.text)
		}
	}
}
