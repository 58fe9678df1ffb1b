package extract

import "bytes"

// A speaker is whose words a message holds.
type speaker uint8

const (
	speakerTool speaker = iota // results, calls, reasoning: nobody's words
	speakerSystem
	speakerPerson
	speakerModel
)

// speakerOf returns whose words a message holds, by its role and, if it has
// none, its type. Gemini leaves out the role of a person; an item of the
// Responses API without one is a call or a result unless it has no type either.
func speakerOf(role, kind []byte) speaker {
	switch string(role) {
	case "user", "USER", "User":
		return speakerPerson
	case "system", "developer", "SYSTEM":
		return speakerSystem
	case "assistant", "model", "CHATBOT", "Chatbot":
		return speakerModel
	case "":
		switch string(kind) {
		case "", "message", "user_input",
			"text", "image", "audio", "document", "video", // content without a message around it
			"input_text", "input_image", "input_audio", "input_file":
			return speakerPerson
		case "function_call", "reasoning", "custom_tool_call", "local_shell_call", "model_output",
			"item_reference": // to what a model said: what a person says is sent
			return speakerModel
		}
		if isCompacted(kind) {
			return speakerPerson
		}
	}
	return speakerTool
}

// isCompacted reports whether an item of that type stands for what was said before.
func isCompacted(kind []byte) bool {
	switch string(kind) {
	case "compaction", "context_compaction", "compaction_summary":
		return true
	}
	return false
}

// speaks notes who speaks in a message. An answer ends a turn even if nothing but injected texts,
// such as a file, came before it.
func (t *trail) speaks(who speaker) {
	switch who {
	case speakerTool:
		t.followed()
		t.acted = true
	case speakerModel:
		if t.texts == 0 && t.injections > 0 {
			t.putStep()
		}
		if !t.answered && !t.pictures.last() {
			t.openingText = t.lastText
		}
		t.answered, t.endsInAnswer = true, true
	}
}

// followed notes that somebody speaks after an answer, if nobody but the system has since it
// came: only then does it show that there was an earlier request. An answer at the end of the
// messages does not, since some clients begin one for the model to continue.
func (t *trail) followed() {
	if !t.endsInAnswer {
		return
	}
	if last := t.steps.back(0); last != nil {
		last.answered = true
	}
	t.calls.open, t.calls.atEnd = false, false
	t.endsInAnswer, t.acted, t.since, t.firstText, t.answeredHere, t.pictures = false, false, stretch{}, 0, t.here, pictures{}
}

// anotherSpeaks reports whether a text of the user begins a message, not the first, in which
// Google's ADK or Eino shows what another agent has said: "For context:", and then, in the
// same text or the next, "[root] said: Hello". That counts as an answer.
func (t *trail) anotherSpeaks(text []byte) bool {
	what, ok := bytes.CutPrefix(text, []byte("For context:"))
	if !ok || t.texts == 0 || t.textSteps.n > 0 || len(what) > 0 && !(bytes.HasPrefix(what, []byte(" [")) &&
		(bytes.Contains(what, []byte("] said: ")) || bytes.Contains(what, []byte("] called tool")) || bytes.Contains(what, []byte("] `")))) {
		return false
	}
	t.speaks(speakerModel)
	t.followed()
	t.ignoreRest = true
	return true
}
