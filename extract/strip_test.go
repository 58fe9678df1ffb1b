package extract

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// However many members and blocks a prompt has, Boundaries takes only so many looks. What they
// have not looked at counts as it is written, and their end is that of the messages.
func TestBoundariesStopLooking(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
	t.Parallel()
	many := func(s string) string { return strings.TrimSuffix(strings.Repeat(s+",", 2*maxLooks), ",") }
	for _, body := range []string{
		`{"messages":[{"role":"user","content":["b",` + many(`"a"`) + `]}]}`,
		`{"messages":[{"role":"user","content":["b",` + many(`{"a":[]}`) + `]}]}`,
		`{"messages":[{"role":"user","content":[` + many(`{"cachePoint":1}`) + `]}]}`,
		`{"messages":[{"role":"user","content":"b",` + many(`"a":1`) + `}]}`,
		`{"messages":[{"role":"user","content":[{"x":[` + many(`{"cache_control":1,"a":1}`) + `]}]}]}`,
		`{"messages":[` + strings.TrimSuffix(strings.Repeat(`{"role":"user","content":[{"type":"x","x":1}]},`, maxMessages), ",") + `]}`,
	} {
		r := &Request{Body: []byte(body)}
		require.True(t, r.read())
		s := newStrip(newPrompt(), r.messages())
		s.messages()
		require.True(t, s.c.OK())
		require.Greater(t, s.to.looks, maxLooks)
		most := maxLooks + len(r.messages())/bytesPerLook + 100
		if s.to.messages > 1 {
			most += 2 * maxMessages
		}
		require.Less(t, s.to.looks, most)
		all := r.Boundaries()
		require.NotEmpty(t, all)

		if !strings.Contains(body, `"cache`) {
			require.Equal(t, len(r.messages())-len("[]")-max(0, s.to.messages-1), all[len(all)-1].Bytes)
		}
	}
}

// A text is searched for markers once, however many values it is in: what is written over a
// part that has been searched is not found.
func TestBoundariesSearchForMarkersOnce(t *testing.T) {
	t.Parallel()
	raw := []byte(`[["aaaaaa",["b","bbb"]],{"cache_control":1},["ccc"],{"cachePoint":1}]`)
	s := newStrip(newPrompt(), raw)
	asks := func(part string) bool {
		start := bytes.Index(raw, []byte(part))
		return s.mentionsMarker(start, raw[start:][:len(part)])
	}
	overwrite := func(part string) { copy(raw[bytes.Index(raw, []byte(part)):], `"cac`) }

	require.True(t, asks(string(raw)))
	overwrite(`"aaaaaa"`)
	require.False(t, asks(`["cacaaa",["b","bbb"]]`))
	overwrite(`"bbb"`)
	require.False(t, asks(`["b","cac"]`))
	require.True(t, asks(`{"cache_control":1}`))
	require.False(t, asks(`["ccc"]`))
	require.True(t, asks(`{"cachePoint":1}`))
}

// Agents that work for days stay below that, with as little in each message as they have:
// the markers that move with the last one are left out.
func TestBoundariesOfLongConversations(t *testing.T) {
	t.Parallel()
	turn := func(n int) []Boundary {
		var messages strings.Builder
		for i := range n {
			fmt.Fprintf(&messages, `{"role":"assistant","content":[{"type":"thinking","thinking":"let me see","signature":"s"},`+
				`{"type":"text","text":"I look"},{"type":"tool_use","id":"toolu_%d","name":"Bash","input":{"command":"ls"}}]},`, i)
			fmt.Fprintf(&messages, `{"role":"user","content":[{"tool_use_id":"toolu_%d","type":"tool_result","content":"a.go","is_error":false`, i)
			if i == n-1 {
				messages.WriteString(`,"cache_control":{"type":"ephemeral"}`)
			}
			messages.WriteString(`}]},`)
		}
		body := `{"messages":[` + strings.TrimSuffix(messages.String(), ",") + `]}`
		return (&Request{Body: []byte(body)}).Boundaries()
	}
	before := turn(2900)
	require.Contains(t, turn(2901), before[len(before)-1])
}

// What is longer than any marker or plain text is neither, and counts as it is written.
func TestBoundariesOfOddBlocks(t *testing.T) {
	t.Parallel()
	size := func(content string) int {
		all := (&Request{Body: []byte(`{"messages":[{"role":"user","content":` + content + `}]}`)}).Boundaries()
		return all[len(all)-1].Bytes - len(`{"role":"user","content":}`)
	}
	markers := func(n int) string { return strings.Repeat(`,"cache_control":1`, n) }
	require.Equal(t, len(`"a"`), size(`[{"type":"text","text":"a"`+markers(maxPlain-2)+`}]`))
	require.Equal(t, len(`[{"type":"text","text":"a"}]`), size(`[{"type":"text","text":"a"`+markers(maxPlain-1)+`}]`))
	require.Equal(t, len(`["a"]`), size(`["a",{"cache_control":1`+markers(maxPlain-2)+`}]`))
	require.Equal(t, len(`["a",{}]`), size(`["a",{"cache_control":1`+markers(maxPlain-1)+`}]`))
	require.Greater(t, size(`[{"type":"text","text":"a"}`+strings.Repeat(`,{"cachePoint":1}`, 2*maxLooks)+`]`), maxLooks)
}

// Messages that were read in passing in vain, since there is another list, count again.
func TestBoundariesCountWhatWasReadInVain(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]bool{maxMessages / 2: true, maxMessages/2 + 1: false} {
		list := `[` + strings.TrimSuffix(strings.Repeat(`"a",`, n), ",") + `]`
		r := &Request{Body: []byte(`{"messages":` + list + `,"contents":` + list + `}`)}
		require.Equal(t, want, r.Boundaries() != nil, n)
	}
	for n, want := range map[int]bool{10_000: true, maxLooks: false} { // whether a marker is cut out
		read := func(block string) []Boundary {
			blocks := strings.TrimSuffix(strings.Repeat(`{},`, n), ",")
			return (&Request{Body: []byte(`{"contents":[{"role":"user","content":[` + blocks + `]}],"messages":[{"role":"user","content":[` + block + `,{}]}]}`)}).Boundaries()
		}
		require.Equal(t, want, read(`{"text":"a","cache_control":{}}`)[0].Hash == read(`{"text":"a"}`)[0].Hash, n)
	}
}
