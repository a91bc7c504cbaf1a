// The search runs in a worker, which browsers do not start for pages opened from a folder: there, a hidden frame does its work.
if (location.protocol === 'file:') {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const address = new URL(url, document.baseURI).href
      const frame = Object.assign(document.createElement('iframe'), { hidden: true })
      this.frame = frame
      this.ready = new Promise(resolve => {
        window.addEventListener('message', event => {
          if (event.source !== frame.contentWindow) return
          if (event.data.ready) return resolve()
          const answer = new MessageEvent('message', { data: event.data.answer })
          this.dispatchEvent(answer)
          if (this.onmessage) this.onmessage(answer)
        })
      })
      frame.srcdoc = `<script>
        const tell = parent.postMessage.bind(parent)
        self.postMessage = answer => tell({ answer }, '*')
      </script><script src="${address}"></script><script>tell({ ready: true }, '*')</script>`
      document.addEventListener('DOMContentLoaded', () => document.body.append(frame))
      if (document.body) document.body.append(frame)
    }
    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent('message', { data })))
    }
    terminate() { this.frame.remove() }
  }
}
