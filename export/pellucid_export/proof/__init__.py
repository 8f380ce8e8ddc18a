"""Proof without the device: what an exported file does on hardware that is not here.

mil_program  runs a Core ML ML Program op by op on any machine, honouring fp16 storage
htp          runs a quantised ONNX file on Qualcomm's own HTP emulator, if that is installed
readiness    says per layer what an NPU will take, and what to change
roofline     estimates time on a named chip, always as a range and labelled ESTIMATE
"""
