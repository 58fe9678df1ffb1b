package extract

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ID takes a short way (plainID) for most ids, which gives the same answer as anyID.
func FuzzIDTheShortWay(f *testing.F) {
	for _, s := range []string{"", "s", "null", "[object Object]", "0b6ec6e1-9d73-4d3c-a1cf-0a1b2c3d4e5f", "0B6EC6E1-9D73-4D3C-A1CF-0A1B2C3D4E5F", "00000000-0000-0000-0000-000000000000",
		"0000000000000000000000000", "a very long id with spaces", "thread_0123456789abcdef", "${conversation_id_of_it}", "{{conversation_id_of_it}}", " padded-with-spaces-around ", "é-not-ascii-but-fine-as-an-id", "\x7f-0123456789abcdef",
		strings.Repeat("a", maxID), strings.Repeat("a", maxID+1), strings.Repeat("0", 36), "UPPER-CASE-BUT-NO-UUID-AT-ALL",
		"1", "0", "-", "00", "a b", "new", "NIL", "None", "s-17", "null0", "default", "12345678", "0000-0000", "undefined", "session-1", "{{id}}", "${id}", " id", "id ", "12345678901234567890", "\x00\x00", "\xc3\xa9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ID(s)
		want, ok2 := anyID(s)
		require.Equal(t, want, got)
		require.Equal(t, ok2, ok)
	})
}
