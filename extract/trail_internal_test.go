package extract

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// However many messages, blocks, members and values a body has, only so many are looked
// at: the rest costs no more than it takes to find the body's end. That goes for all that is
// read of them again, too.
func TestTrailStopsCounting(t *testing.T) {
	t.Parallel()
	many := func(s string) string { return strings.TrimSuffix(strings.Repeat(s+",", 2*maxItems), ",") }
	members := strings.TrimSuffix(strings.Repeat(`"a":1,`, 2*maxWork), ",")
	mostly := strings.Repeat(`"a",`, maxItems*3/4)
	twoRoles := `{"role":"user","content":"a","role":"user"`
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
		`{"messages":[{"role":"user","content":"a",` + members + `}]}`,
		`{"messages":[` + twoRoles + `,` + members[:len(members)/2] + `}]}`,
		`{"messages":[{"role":"user","content":{` + members + `}}]}`,
		`{"messages":[` + mostly + twoRoles + `}]}`,
		`{"messages":[{"role":"user","content":{"type":"image_url","image_url":"http://a?` + strings.Repeat("b&", 2*maxWork) + `"}}]}`,
	} {
		r := &Request{Body: []byte(body)}
		require.True(t, r.read())
		require.Greater(t, int(r.trail().work), maxWork)
		require.Less(t, int(r.trail().work), maxWork+400)
		_, ok := Trail().Extract(r)
		require.False(t, ok)
	}
}

// A message that takes longer than others counts as more.
func TestTrailCountsWhatTakesLong(t *testing.T) {
	t.Parallel()
	for message, work := range map[string]int{
		`"<a"`:                                   4 * 3,
		`"[a"`:                                   4 * 2,
		`"a\nAI:"`:                               4 + 1,
		`{"content":"a","role":"user"}`:          4 + 1 + 1,
		`{"content":"a","id":"b","role":"user"}`: 4 + 3 + 1,
	} {
		for n, want := range map[int]bool{maxWork/work - 1: true, maxWork/work + 1: false} {
			r := &Request{Body: []byte(`{"messages":["a"` + strings.Repeat(`,`+message, n) + `]}`)}
			_, ok := Trail().Extract(r)
			require.Equal(t, want, ok, message)
		}
	}
}

// Messages that are read in passing are not read again if there are too many: it makes no
// difference to what counts.
func TestTrailInPassingCountsAlike(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]bool{maxItems / 2: true, maxItems - 1: true, maxItems: false, 2 * maxItems: false} {
		body := []byte(`{"messages":[` + strings.Repeat(`{"role":"user","content":"a"},`, n) + `{"role":"user","content":"b"}]}`)
		r, other := &Request{Body: body}, &Request{Body: body}
		require.True(t, r.readWithTrail())
		require.NotNil(t, r.index.trailInPassing, n)
		work := r.index.trailInPassing.work
		require.True(t, other.read())
		require.Equal(t, other.trail(), r.trail())
		require.Equal(t, work, r.trail().work)
		_, ok := Trail().Extract(r)
		require.Equal(t, want, ok, n)
	}
}

// Messages that were read in passing in vain, since there is another list, count again.
func TestTrailCountsWhatWasReadInVain(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]bool{maxItems/2 - 2: true, maxItems / 2: false} {
		list := `[` + strings.Repeat(`"abcd",`, n) + `"a"]`
		body := []byte(`{"messages":` + list + `,"contents":` + list + `}`)
		for _, e := range []Extractor{Trail(), Default()} {
			r := &Request{Body: body}
			_, ok := e.Extract(r)
			require.Equal(t, want, ok, n)
			require.Nil(t, r.index.trailInPassing)
			require.Less(t, int(r.trail().work), maxWork+400)
		}
	}
}

// Default reads the messages of a large body in passing if no end has an id, and what it has read
// is as good as what Trail reads by itself, also where the room was used by others before.
func TestDefaultReadsMessagesInPassing(t *testing.T) {
	t.Parallel()
	const id = `"conversation_id":"conv-1"`
	pad := func(size int) string { return `"pad":"` + strings.Repeat("x", size) + `"` }
	talk := func(text string) string {
		return `"messages":[{"role":"system","content":"s"},{"role":"user","content":"` + text + `"},{"role":"assistant","content":"a"},{"role":"user","content":"b"}]`
	}
	withoutTrail := Chain{ClaudeUserID(), BodyIDs()}
	for i, tt := range []struct {
		chain  Chain
		body   string
		want   bool
		source string
	}{
		{Default(), `{` + talk("one") + `,` + pad(inPassingSize) + `}`, true, "trail"},
		{Default(), `{` + pad(inPassingSize) + `,` + talk("two") + `}`, true, "trail"},
		{Default(), `{` + talk("three") + `,` + pad(inPassingSize) + `,` + id + `,` + pad(inPassingSize) + `}`, false, "conversation_id"},
		{Default(), `{` + talk("four") + `,` + pad(inPassingSize) + `,"stream":true}`, true, "trail"},
		{Default(), `{` + talk("five") + `,` + pad(inPassingSize) + `,"prompt_cache_key":"key-1"}`, false, "prompt_cache_key"},
		{Default(), `{` + talk("six") + `,` + pad(inPassingSize) + `,"metadata":{"tag":"m"}}`, true, "trail"},
		{Default(), `{` + talk("seven") + `,` + pad(inPassingSize/2) + `}`, false, "trail"},
		{Default(), `{` + talk("eight") + `,` + pad(inPassingSize) + `,"user":"user-1"}`, true, "trail"},
		{Default(), `{` + talk("eight") + `,` + pad(inPassingSize) + `,"metadata":{"user_id":"user-1"}}`, false, "metadata.user_id"},
		{withoutTrail, `{` + talk("nine") + `,` + pad(inPassingSize) + `}`, false, ""},
		{Default(), `{` + talk("ten") + `,` + pad(inPassingSize) + `,"messages":[]}`, false, ""},
	} {
		r := &Request{Body: []byte(tt.body)}
		s, ok := tt.chain.Extract(r)
		require.Equal(t, tt.want, r.index.trailInPassing != nil, i)
		require.Equal(t, tt.source, s.Source, i)
		require.Equal(t, tt.source != "", ok, i)
		if tt.source == "trail" {
			alone, _ := Trail().Extract(&Request{Body: []byte(tt.body)})
			require.Equal(t, alone, s, i)
		}
	}
}

// Many messages that were read in passing before an id in between are those that Class looks at,
// unless there are others behind the id. They count once.
func TestClassOfMessagesBeforeAnID(t *testing.T) {
	t.Parallel()
	const wish = `{"role":"user","content":"Your task is to create a detailed summary of the conversation so far, paying close attention to the user's explicit requests"}`
	many := strings.Repeat(`{"role":"user","content":"a"},`, maxItems/3*2)
	talk, summary := `[`+many+`"a"]`, `[`+many+wish+`]`
	for i, tt := range []struct {
		before, after string
		kept          bool
		want          Class
	}{
		{`"messages":` + summary, ``, true, Compaction},
		{`"messages":` + summary, `,"model":"m"`, true, Compaction},
		{`"input":{"messages":` + summary + `}`, ``, true, Compaction},
		{`"messages":` + talk, `,"messages":[` + wish + `]`, false, Compaction},
		{`"contents":` + talk, `,"messages":[` + wish + `]`, false, Compaction},
		{`"input":{"messages":` + talk + `}`, `,"input":[` + wish + `]`, false, Compaction},
		{`"request":{"contents":` + summary + `}`, `,"request":{}`, false, Turn},
		{`"messages":` + talk, `,"messages":` + summary, false, Turn}, // more than is read
	} {
		pad := `"pad":"` + strings.Repeat("x", window) + `"`
		r := &Request{Body: []byte(`{` + pad + `,` + tt.before + `,"session_id":"session-1"` + tt.after + `,` + pad + `}`)}
		s, _ := Default().Extract(r)
		require.Equal(t, "session_id", s.Source, i)
		require.Equal(t, tt.want, r.Class(), i)
		require.Equal(t, tt.kept, r.index.trailInPassing != nil, i)
	}
}

// An opening that does not end costs a quarter of what a trail may.
func TestOpeningStopsCountingEarlier(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]bool{maxItems / 8: true, maxItems / 4: false} {
		for _, end := range []string{``, `,{"role":"assistant","content":"b"}`} {
			r := &Request{Body: []byte(`{"messages":["a"` + strings.Repeat(`,{"role":"user","content":"a"}`, n) + end + `]}`)}
			_, ok := r.Opening()
			require.Equal(t, want, ok, n)
		}
	}
	// What is read again, since it may repeat the end of the system prompt, counts again.
	again := strings.Repeat("a", leastRepeated)
	for n, want := range map[int]bool{maxItems/8 - 1: true, maxItems / 8: false, maxItems / 4: false} {
		r := &Request{Body: []byte(`{"messages":["b"` + strings.Repeat(`,"b`+again+`"`, n) + `],"system":"` + again + `"}`)}
		_, ok := r.Opening()
		require.Equal(t, want, ok, n)
	}
}

// These are as many keys as a trail can have, and there is room for them: those of the texts
// in the last message are there only while nobody has answered it.
func TestTrailWithTheMostKeys(t *testing.T) {
	t.Parallel()
	turns := ""
	for i := range maxSteps {
		turns += `{"role":"user","content":"` + strings.Repeat("a", minTail+i) + `"},{"role":"assistant","content":"b"},`
	}
	last := strings.Repeat(`{"type":"text","text":"c"},`, maxTexts) + `{"type":"text","text":"User: d\n\n# User\ni\n# User\nj\nUser: g\nf: h"}`
	for _, id := range []string{"a1b2c3d4e5f6", "b1b2c3d4e5f6", "c1b2c3d4e5f6", "d1b2c3d4e5f6"} {
		turns += `{"role":"tool","tool_call_id":"` + id + `"},{"role":"assistant"},`
	}
	r := &Request{Body: []byte(`{"system":"s","messages":[
		{"role":"user","content":"<system-reminder>in /home/anna</system-reminder>"},` + turns + `
		{"role":"user","content":[` + last + `]}]}`)}
	s, ok := Trail().Extract(r)
	require.True(t, ok)
	require.Len(t, s.Aliases, 7+maxFramed)
	require.Len(t, s.Continues, maxRounds+maxTexts-1+maxSteps-1+3*(maxNear-1))
	require.Len(t, s.Near, maxNear-1+maxNear-2+1+2)
	require.LessOrEqual(t, 1+len(s.Aliases)+len(s.Continues)+len(s.Near), maxKeys)

	// Nobody has answered, and the conversation is in the system prompt.
	system := `"system":"At 9:05\n\nHistory:\nUser: ` + strings.Repeat("a", minTail) + `"`
	place := `{"role":"user","content":"<system-reminder>in /home/anna</system-reminder>"}`
	last = `{"type":"text","text":"c"},{"type":"text","text":"User: d\n\n# User\ni\n# User\nj\nUser: g\nf: h"}`
	s, ok = Trail().Extract(&Request{Body: []byte(`{` + system + `,"messages":[` + place + `,{"role":"user","content":[{"type":"text","text":"b"},` + last + `]}]}`)})
	require.True(t, ok)
	require.Len(t, s.Aliases, 9+maxFramed)
	// The last line is that behind the last label.
	s, ok = Trail().Extract(&Request{Body: []byte(`{` + system + `,"messages":[` + place + `,{"role":"user","content":"User: d\n\n# User\ni\n# User\nj\nUser: g"}]}`)})
	require.True(t, ok)
	require.Len(t, s.Aliases, 5+maxFramed)
}
