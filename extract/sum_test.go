package extract

import (
	"strings"
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

// A name has one digest in all its spellings and however it is escaped, and others have another.
func TestSumsOfNames(t *testing.T) {
	t.Parallel()
	names := func(names ...string) (sums []uint64) {
		for _, name := range names {
			var room nameRoom
			sums = append(sums, nameSum([]byte(name), room.read([]byte(name))))
		}
		return sums
	}
	seen := map[uint64]bool{}
	for _, same := range [][]string{
		{"mimeType", "mime_type", "mime_Type", `mime\u005ftype`, `\u006dimeType`},
		{"mimetype"},
		{"mime4ype"},
		{"mime"},
		{"mimeTypeOf", "mime_type_of", "mime_typeOf"},
		{"_type"},
		{"Type"},
		{"type"},
		{`a_\"b`, `a_\u0022b`},
		{`a_\\`, `a_\u005c`},
		{`a_\n`, `a_\u000a`},
		{"a_é", `a_\u00e9`},
		{strings.Repeat("a", 30) + "_b", strings.Repeat(`\u0061`, 30) + "_b"},
		{"a_name_that_is_longer_than_all", `a_name_that_is_longer_than_al\u006c`},
	} {
		sums := names(same...)
		require.False(t, seen[sums[0]], same)
		seen[sums[0]] = true
		for _, s := range sums {
			require.Equal(t, sums[0], s, same)
		}
	}
}
