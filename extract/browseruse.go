package extract

import (
	"bytes"

	"github.com/cespare/xxhash/v2"
)

// readBrowserUse reads a plain text if it is the one in which browser-use tells a model its task,
// and reports whether it is. Each request of browser-use has one such message: the task, then
// all steps taken so far (those of the request before, and one more), then the page as it is
// now. The task and each step count as texts of their own, so the request before ended at the
// step before the last, and a session leads back to it (TestWhatIsSentAgainGoesOn). A model has
// answered between two steps, so where browser-use has summed up the first ones or got another
// task, a session is found by the last few. The page does not count, nor does anything else in
// the message, such as a picture of the page. These steps of an agent are not the steps of a
// trail (see step).
func (t *trail) readBrowserUse(text []byte) bool {
	rest, ok := bytes.CutPrefix(text, []byte(`<user_request>\n`))
	if !ok {
		return false
	}
	task, rest, _ := bytes.Cut(rest, []byte(`\n</user_request>\n\n<agent_history>\n`))
	steps, _, ok := bytes.Cut(rest, []byte(`\n</agent_history>\n\n<agent_state>\n`))
	if !ok {
		return false
	}
	t.person(textSalt, xxhash.Sum64(trim(task)))
	for more := !t.openingOnly; more && t.more(); {
		var step []byte
		step, steps, more = bytes.Cut(steps, []byte(`\n<step>\n`))
		step = trim(step)
		t.person(textSalt, xxhash.Sum64(step))
		t.since.bytes = uint8(min(minTail, int(t.since.bytes)+len(step)))
		if more {
			t.putStep()
			t.speaks(speakerModel)
			t.followed()
			t.openingText = 0 // the first step is the same in all conversations
		}
	}
	t.ignoreRest = true
	return true
}
