package extract

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// One long text does not take up its memory for as long as others come.
func TestScratchKeepsNoLongRoom(t *testing.T) {
	for name, body := range map[string]string{
		"message": `{"messages":[{"role":"user","content":"` + strings.Repeat(`a\/b `, 1<<20) + `"}]}`,
		"prompt":  `{"prompt":"` + strings.Repeat(`a\/b `, 1<<20) + `"}`,
	} {
		_, ok := Trail().Extract(&Request{Path: "/v1/completions", Body: []byte(body)})
		require.True(t, ok)
		for range 10 {
			room := borrow(1)
			require.LessOrEqual(t, cap(*room), maxScratch, name)
			giveBack(room)
		}
	}
}
