// A dialog with the camera's picture; a photo of it is a file like any other.

export class Camera {
  // parts: dialog, video, shoot, turn, leave. take(file), tell(message).
  constructor(parts, take, tell) {
    Object.assign(this, parts, { take, tell });
    this.facing = "environment";
    this.shoot.onclick = () => this.#shoot();
    this.turn.onclick = () => {
      this.facing = this.facing === "user" ? "environment" : "user";
      this.#start();
    };
    this.leave.onclick = () => this.dialog.close();
    this.dialog.onclose = () => this.#stop();
    // A camera whose picture nobody sees must not run.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden && this.dialog.open) this.dialog.close();
    });
  }

  async open() {
    if (!navigator.mediaDevices?.getUserMedia)
      return this.tell("No camera: browsers give one to https pages and to localhost only");
    if (await this.#start()) this.dialog.showModal();
  }

  async #start() {
    this.#stop();
    try {
      const video = { facingMode: this.facing, width: { ideal: 1920 }, height: { ideal: 1080 } };
      this.stream = await navigator.mediaDevices.getUserMedia({ video });
    } catch (error) {
      const refused = error.name === "NotAllowedError";
      this.tell(refused ? "The camera was not allowed; allow it in the browser's address bar" : "No camera was found, or another program uses it");
      return false;
    }
    this.video.srcObject = this.stream;
    await this.video.play();
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter((d) => d.kind === "videoinput");
    this.turn.hidden = cameras.length < 2;
    return true;
  }

  async #shoot() {
    const { videoWidth: width, videoHeight: height } = this.video;
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext("2d").drawImage(this.video, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.97 });
    const stamp = new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-");
    this.dialog.close();
    this.take(new File([blob], `camera-${stamp}.jpg`, { type: blob.type }));
  }

  #stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.video.srcObject = null;
  }
}
