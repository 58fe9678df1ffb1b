package extract

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// However many messages, blocks and values a body has, only so many are looked
// at: the rest costs no more than it takes to find the body's end.
func TestTrailStopsCounting(t *testing.T) {
	t.Parallel()
	many := func(s string) string { return strings.TrimSuffix(strings.Repeat(s+",", 2*maxItems), ",") }
	for _, body := range []string{
		`{"messages":[` + many(`1`) + `]}`,
		`{"messages":[` + many(`"a"`) + `]}`,
		`{"messages":[{"role":"user","content":[` + many(`"a"`) + `]}]}`,
		`{"messages":[{"role":"user","content":{"a":[` + many(`1`) + `]}}]}`,
		`{"messages":[{"role":"user","content":{"a":[` + many(`[[[[]]]]`) + `]}}]}`,
		`{"messages":[{"role":"user","content":{` + many(`"a":1`) + `}}]}`,
		`{"messages":[{"role":"user","content":[` + many(`{"a":{"b":"c"}}`) + `]}]}`,
		`{"system":[` + many(`"a"`) + `],"messages":["a"]}`,
		`{"prompt":[` + many(`1`) + `]}`,
		`{"prompt":"a","images":[` + many(`1`) + `]}`,
	} {
		r := &Request{Body: []byte(body)}
		require.True(t, r.read())
		require.Greater(t, r.trail().items, maxItems)
		require.Less(t, r.trail().items, maxItems+100)
		_, ok := Trail().Extract(r)
		require.False(t, ok)
	}
}

// A message that has to be read again, since it has two roles, takes half of what may be
// looked at.
func TestTrailReadsHalfAsManyMessagesAgain(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]bool{maxItems/2 - 1: true, maxItems / 2: false} {
		body := `{"messages":[{"role":"user","role":"user","content":"a"}` + strings.Repeat(`,{"role":"user","content":"a"}`, n) + `]}`
		_, ok := Trail().Extract(&Request{Body: []byte(body)})
		require.Equal(t, want, ok)
	}
}

// A body of more members than any request has is none, and is not read on.
func TestBodyOfTooManyMembers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ head, member, tail string }{
		{`{"model":"m",`, `"a":1`, `,"session_id":"s","messages":["a"]}`},
		{`{"model":"m",`, `"messages":["a"]`, `,"session_id":"s"}`},
		{`{"session_id":"s","messages":["a"],"metadata":{`, `"user_id":""`, `}}`},
		{`{"model":"m","session_id":"","metadata":{`, `"user_id":"u"`, `},"thread_id":"s","messages":["a"]}`},
	} {
		body := func(n int) string {
			return c.head + strings.TrimSuffix(strings.Repeat(c.member+",", n), ",") + c.tail
		}
		for n, want := range map[int]bool{maxRead - 10: true, maxRead: false, 2 * maxRead: false} {
			whole := &Request{Body: []byte(body(n))}
			require.Equal(t, want, whole.read())
			require.LessOrEqual(t, int(whole.index.counted), maxRead+2)
			require.Equal(t, want, whole.Boundaries() != nil)
			_, ok := Trail().Extract(&Request{Body: []byte(body(n))})
			require.Equal(t, want, ok)
		}
	}
	// Wherever it breaks off, it is not taken for one that is whole.
	for n := maxRead - 3; n < maxRead+3; n++ {
		for _, head := range []string{`{"a":1`, `{"metadata":{"a":1`} {
			body := head + strings.Repeat(`,"a":1`, n)
			require.False(t, (&Request{Body: []byte(body)}).read())
			closed := &Request{Body: []byte(body + strings.Repeat("}", strings.Count(head, "{")))}
			require.Equal(t, n+2*strings.Count(head, "{") <= maxRead, closed.read(), "%d %s", n, head)
		}
	}
}

// Nor does it cost Boundaries more than so many looks. What they have not looked at
// counts as it is written, and their end is that of the messages.
func TestBoundariesStopLooking(t *testing.T) {
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

// These are as many keys as a trail can have: those of the texts in the last message are
// there only while nobody has answered it.
func TestTrailWithTheMostKeys(t *testing.T) {
	t.Parallel()
	turns := ""
	for i := range maxSteps {
		turns += `{"role":"user","content":"` + strings.Repeat("a", minTail+i) + `"},{"role":"assistant","content":"b"},`
	}
	last := strings.Repeat(`{"type":"text","text":"c"},`, maxTexts) + `{"type":"text","text":"User: d\n\ne\nf: g"}`
	r := &Request{Body: []byte(`{"system":"s","messages":[
		{"role":"user","content":"<system-reminder>in /home/anna</system-reminder>"},` + turns + `
		{"role":"user","content":[` + last + `]}]}`)}
	s, ok := Trail().Extract(r)
	require.True(t, ok)
	require.Len(t, s.Aliases, 6+maxFramed)
	require.Len(t, s.Continues, maxTexts-1+maxSteps-1+3*(maxNear-1))
	require.Len(t, s.Near, maxNear-1+maxNear-2+1+1)

	// Nobody has answered, and the conversation is in the system prompt.
	system := `"system":"At 9:05\n\nHistory:\nUser: ` + strings.Repeat("a", minTail) + `"`
	place := `{"role":"user","content":"<system-reminder>in /home/anna</system-reminder>"}`
	last = `{"type":"text","text":"c"},{"type":"text","text":"User: d\n\ne\nf: g"}`
	s, ok = Trail().Extract(&Request{Body: []byte(`{` + system + `,"messages":[` + place + `,{"role":"user","content":[{"type":"text","text":"b"},` + last + `]}]}`)})
	require.True(t, ok)
	require.Len(t, s.Aliases, 7+maxFramed)
	s, ok = Trail().Extract(&Request{Body: []byte(`{` + system + `,"messages":[` + place + `,{"role":"user","content":"User: d\n\ne\nUser: g"}]}`)})
	require.True(t, ok)
	require.Len(t, s.Aliases, 7+maxFramed)
}

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

// pathClass looks at the last letters of a path before it looks at the list.
func TestPathClassesAreAllLookedAt(t *testing.T) {
	t.Parallel()
	for _, p := range pathClasses {
		for _, before := range []string{"", "/v1", "/v1/models/x"} {
			require.Equal(t, p.class, (&Request{Path: before + p.suffix}).pathClass(), "the last six letters of %s are not in pathClass, or its class is not its own", p.suffix)
		}
		require.Equal(t, Turn, (&Request{Path: p.suffix + "s"}).pathClass())
	}
	for _, path := range []string{"", "tokens", "/v1/messages", "/v1/chat/completions", "/v1/organizations"} {
		require.Equal(t, Turn, (&Request{Path: path}).pathClass(), path)
	}
}

// ID takes a short way (plainID) for most ids, which gives the same answer as anyID.
func FuzzIDTheShortWay(f *testing.F) {
	for _, s := range []string{"", "s", "null", "[object Object]", "0b6ec6e1-9d73-4d3c-a1cf-0a1b2c3d4e5f", "0B6EC6E1-9D73-4D3C-A1CF-0A1B2C3D4E5F", "00000000-0000-0000-0000-000000000000",
		"0000000000000000000000000", "a very long id with spaces", "thread_0123456789abcdef", "${conversation_id_of_it}", "{{conversation_id_of_it}}", " padded-with-spaces-around ", "é-not-ascii-but-fine-as-an-id", "\x7f-0123456789abcdef",
		strings.Repeat("a", MaxID), strings.Repeat("a", MaxID+1), strings.Repeat("0", 36), "UPPER-CASE-BUT-NO-UUID-AT-ALL",
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
