package jsonscan

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
)

func TestEscape(t *testing.T) {
	for _, tt := range []struct {
		raw string
		r   rune
		n   int
	}{
		{`\n and more`, '\n', 2},
		{`\/`, '/', 2},
		{`\u00e9\u00e9`, 'é', 6},
		{`\u0000`, 0, 6},
		{`\ud83d\ude00\u0041`, '😀', 12},
		{`\ud83d\u0041`, '\ufffd', 6},
		{`\ude00\ud83d`, '\ufffd', 6},
		{`\ud83d\ude0`, '\ufffd', 6},
		{`\ud83d\ude!!`, '\ufffd', 6},
		{`\ud83d\ude0g`, '\ufffd', 6},
		{`\u00e`, 0, 0},
		{`\u00eg`, 0, 0},
		{`\U00e9`, 0, 0},
		{`\q`, 0, 0},
		{`\`, 0, 0},
		{`n`, 0, 0},
		{`nn`, 0, 0},
		{`u00e9xx`, 0, 0},
		{``, 0, 0},
	} {
		r, n := escape([]byte(tt.raw))
		require.Equal(t, tt.n, n, tt.raw)
		if n > 0 {
			require.Equal(t, tt.r, r, tt.raw)
		}
	}
	for c := range 256 { // in each of the four places
		digit := strings.IndexByte("0123456789abcdef", byte(c)|0x20)
		for place := range 4 {
			raw := []byte(`\u1111`)
			raw[2+place] = byte(c)
			r, n := escape(raw)
			if digit < 0 || c < '0' {
				require.Zero(t, n, "%q", raw)
				continue
			}
			require.Equal(t, 6, n, "%q", raw)
			require.Equal(t, rune(0x1111+(digit-1)<<(12-4*place)), r, "%q", raw)
		}
	}
}

// TestAppendWide reads each character behind another one, where a text is often nothing
// but such escapes, and checks which of them are read so.
func TestAppendWide(t *testing.T) {
	for r := range rune(0x10000) {
		raw := fmt.Appendf(nil, `\u4e2d\u%04x!`, r)
		var want string
		require.NoError(t, json.Unmarshal(fmt.Appendf(nil, `"%s"`, raw), &want))
		require.Equal(t, want, string(AppendText(nil, raw)), "%s", raw)
		text, rest := appendWide(nil, raw)
		if r < 0x80 || utf16.IsSurrogate(r) {
			require.Equal(t, "中", string(text))
			require.Equal(t, raw[6:], rest)
		} else {
			require.Equal(t, want, string(text)+string(rest))
			require.Equal(t, "!", string(rest))
		}
	}
}
